// Runs the client scenarios of the conformance suite and tells what came of them: see conformance-client.sh, which alone calls it.
//
// usage: conformance-client.mjs SUITE_MODULES CLIENT_MODULES FOLDER

import { execFile } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [suiteModules, clientModules, folder] = process.argv.slice(2);
const suite = join(resolve(suiteModules), "@modelcontextprotocol/conformance");
const { parse } = createRequire(join(suite, "package.json"))("yaml");

// Through what, spoken to in which era, with which frozen set. A client with a session before a server without one is where the hub is
// most of a client itself: it answers what the server wants to know, and asks again.
const WAYS = [
  ["hub", "legacy", "2025-11-25"],
  ["hub", "legacy", "2026-07-28"],
  ["hub", "auto", "2026-07-28"],
  ["bridge", "legacy", "2025-11-25"],
  ["bridge", "auto", "2026-07-28"],
];

// What makes no sense, and why.
const reasonAgainst = (way, scenario) => {
  if (scenario.startsWith("auth/")) return "neither hub nor bridge speaks OAuth";
  if (way === "bridge" && scenario === "http-invalid-tool-headers") return "not for the bridge: the hub has left such tools out before it sees them";
  return undefined;
};

// What is known to fail, as `WAY MODE SET SCENARIO/CHECK`: nothing now.
const KNOWN = new Set([]);

const AT_ONCE = 4;

// The scenarios of a set, those that are not scored too: they fit as well.
function scenariosOf(set) {
  const wanted = parse(readFileSync(join(suite, "requirements", `${set}.yaml`), "utf8"));
  const unscored = wanted.not_scored.filter(({ leg }) => leg === "client").map(({ scenario }) => scenario);
  return [...wanted.client, ...unscored];
}

// The checks of one scenario.
async function run({ way, mode, set, scenario }) {
  const out = join(folder, `${way}-${mode}-${set}-${scenario}`);
  const client = [process.execPath, "tests/mcp-fixture/clients/conformance.mjs", clientModules, way, mode].join(" ");
  const args = [join(suiteModules, ".bin/conformance"), "client", "--command", client];
  args.push("--scenario", scenario, "--spec-version", set, "--output-dir", out, "--timeout", "75000");
  // Its exit code says less than its checks do.
  const told = await new Promise((done) => {
    execFile("scripts/tied.sh", ["KILL", process.execPath, ...args], { timeout: 90_000, killSignal: "SIGKILL" }, (_, stdout, stderr) =>
      done(stdout + stderr),
    );
  });
  try {
    return JSON.parse(readFileSync(join(out, readdirSync(out)[0], "checks.json"), "utf8"));
  } catch {
    return [{ id: "scenario-ran", status: "FAILURE", errorMessage: `the suite gave no result: ${told}` }];
  }
}

const all = WAYS.flatMap(([way, mode, set]) => scenariosOf(set).map((scenario) => ({ way, mode, set, scenario })));
const left = all.map(({ way, scenario }) => [scenario, reasonAgainst(way, scenario)]).filter(([, reason]) => reason !== undefined);
for (const line of new Set(left.map((words) => words.join(": ")))) console.log(`left out: ${line}`);
if (!process.env.EVENKEEL) console.log("bridge: SKIPPED: the program evenkeel has not been built");
const runs = all.filter(({ way, scenario }) => reasonAgainst(way, scenario) === undefined && (way !== "bridge" || process.env.EVENKEEL));

let failed = 0;
const met = new Set();
const waiting = [...runs];
async function work() {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const checks = await run(next);
    const name = `${next.way} ${next.mode} ${next.set} ${next.scenario}`;
    const passed = checks.filter(({ status }) => status === "SUCCESS").length;
    const bad = checks.filter(({ status }) => status === "FAILURE" || status === "WARNING");
    if (passed + bad.length === 0) bad.push({ id: "anything", errorMessage: "it checked nothing" });
    console.log(`${name}: ${passed} passed, ${bad.length} failed`);
    for (const { id, errorMessage, details } of bad) {
      const isKnown = KNOWN.has(`${name}/${id}`);
      met.add(`${name}/${id}`);
      if (!isKnown) failed += 1;
      console.log(`  ${isKnown ? "known to fail" : "FAILED"}: ${id}: ${errorMessage ?? JSON.stringify(details)}`);
    }
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, work));
for (const known of KNOWN) {
  if (met.has(known) || !runs.some((run) => known.startsWith(`${run.way} ${run.mode} ${run.set} ${run.scenario}/`))) continue;
  console.log(`NOT FAILING ANY MORE: ${known}`);
  failed += 1;
}
console.log(`conformance-client: ${runs.length} runs, ${failed} checks failed`);
process.exitCode = failed === 0 ? 0 : 1;
