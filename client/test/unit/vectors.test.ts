// The language-neutral test vectors.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { run, type Input, type Vector } from '../support/vectors.js';

const vectors = JSON.parse(readFileSync(new URL('../../vectors/merge.json', import.meta.url), 'utf8')) as Vector[];

function* permutations(items: Input[]): Generator<Input[]> {
  if (!items.length) yield [];
  for (const [i, item] of items.entries()) {
    for (const rest of permutations(items.filter((_, j) => j !== i))) yield [item, ...rest];
  }
}

for (const { name, order, inputs, state } of vectors) {
  test(`vector: ${name}`, () => {
    for (const each of order ? permutations(inputs) : [inputs]) assert.deepEqual(run(each), state);
  });
}
