//! A tar archive of a few files, enough for the root file system of a test image.

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveFile<'a> {
    /// A directory.
    Directory(&'a str),
    /// A program with its bytes.
    Program(&'a str, &'a [u8]),
    /// A symbolic link and what it points at.
    Link(&'a str, &'a str),
}

const BLOCK: usize = 512;

/// The archive, in the ustar format. Paths are relative and shorter than 100 bytes.
pub fn archive_of(files: &[ArchiveFile<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for file in files {
        let (path, kind, mode, target, bytes): (_, _, _, _, &[u8]) = match *file {
            ArchiveFile::Directory(path) => (path, b'5', 0o755, "", &[]),
            ArchiveFile::Program(path, bytes) => (path, b'0', 0o755, "", bytes),
            ArchiveFile::Link(path, target) => (path, b'2', 0o777, target, &[]),
        };
        archive.extend_from_slice(&header(path, kind, mode, target, bytes.len()));
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn header(path: &str, kind: u8, mode: u32, target: &str, length: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    put(&mut header, 0, path.as_bytes());
    put(&mut header, 100, format!("{mode:07o}").as_bytes());
    put(&mut header, 108, b"0000000");
    put(&mut header, 116, b"0000000");
    put(&mut header, 124, format!("{length:011o}").as_bytes());
    put(&mut header, 136, b"00000000000");
    put(&mut header, 148, b"        ");
    header[156] = kind;
    put(&mut header, 157, target.as_bytes());
    put(&mut header, 257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
    header
}

fn put(header: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}
