// Tells what a run of the conformance suite came to: see conformance.sh, which alone calls it.
//
// usage: conformance-summary.mjs NODE_MODULES REQUIREMENTS CHECKS_FOLDER RESULTS.json

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [modules, requirements, folder, resultsFile] = process.argv.slice(2);
const suite = join(resolve(modules), "@modelcontextprotocol/conformance");
const { parse } = createRequire(join(suite, "package.json"))("yaml");

const wanted = parse(readFileSync(join(suite, "requirements", `${requirements}.yaml`), "utf8"));
const notScored = new Map(
  wanted.not_scored.filter(({ leg }) => leg === "server").map(({ scenario, reason }) => [scenario, reason]),
);

// A folder is named after its scenario and the time: server-NAME-2026-01-01T00-00-00-000Z.
const ran = new Map();
for (const name of readdirSync(folder)) {
  const scenario = /^server-(.*)-\d{4}-\d\d-\d\dT[\dZ-]+$/.exec(name)?.[1];
  if (scenario === undefined) continue;
  try {
    ran.set(scenario, JSON.parse(readFileSync(join(folder, name, "checks.json"), "utf8")));
  } catch {
    // The suite died in this scenario: it is missing below.
  }
}

const results = [];
let passed = 0;
let failed = 0;
for (const scenario of [...wanted.server, ...notScored.keys()]) {
  const reason = notScored.get(scenario);
  const checks = ran.get(scenario) ?? [
    { id: "scenario-ran", name: "ScenarioRan", status: "FAILURE", errorMessage: "the suite gave no result" },
  ];
  const count = (status) => checks.filter((check) => check.status === status).length;
  const [good, bad, warnings] = [count("SUCCESS"), count("FAILURE"), count("WARNING")];
  if (reason === undefined) {
    passed += good;
    failed += bad;
  }
  const tail = [warnings > 0 ? `, ${warnings} warned` : "", reason === undefined ? "" : ` (not scored: ${reason})`].join("");
  const verdict = bad === 0 ? "ok  " : reason === undefined ? "FAIL" : "note";
  console.log(`${verdict} ${scenario}: ${good} passed, ${bad} failed${tail}`);
  for (const { id, name, status, errorMessage } of checks) {
    results.push({ scenario, scored: reason === undefined, id, name, status, message: errorMessage ?? null });
    if (status === "FAILURE" && reason === undefined) console.log(`       ${id}: ${errorMessage ?? ""}`);
  }
}
if (ran.size === 0) console.log(readFileSync(join(folder, "log"), "utf8").trimEnd());

writeFileSync(resultsFile, `${JSON.stringify({ requirements, passed, failed, checks: results }, null, 1)}\n`);
console.log(`conformance ${requirements}: ${passed} passed, ${failed} failed of ${passed + failed} checks`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
