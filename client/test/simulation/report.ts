// Writes test/simulation/results.md: node build/simulation/report.js [MESSAGES]
import { writeFileSync } from 'node:fs';
import { APPS } from './apps.js';
import { NETWORKS, PARAMETERS } from './parameters.js';
import { simulate } from './simulate.js';

const messages = Number(process.argv[2] ?? 10_000);
for (const network of NETWORKS) {
  for (const [name, app] of APPS) {
    const start = Date.now();
    const c = await simulate(app, network, PARAMETERS, messages);
    console.log(network.name, name, c, Date.now() - start);
  }
}
