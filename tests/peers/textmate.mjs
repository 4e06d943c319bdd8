// Prints the tokens of programs as the engine of Visual Studio Code sees them; see textmate.sh.
import fs from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.GWP_TEXTMATE_PACKAGES}/package.json`);
const textmate = require('vscode-textmate');
const oniguruma = require('vscode-oniguruma');

const [grammarFile, ...programs] = process.argv.slice(2);
const wasm = fs.readFileSync(require.resolve('vscode-oniguruma/release/onig.wasm'));
await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));

const registry = new textmate.Registry({
  onigLib: Promise.resolve({
    createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
    createOnigString: (text) => new oniguruma.OnigString(text),
  }),
  loadGrammar: async () => textmate.parseRawGrammar(fs.readFileSync(grammarFile, 'utf8'), grammarFile),
});
const grammar = await registry.loadGrammar('source.gwp');

const out = [];
for (const program of programs) {
  let state = textmate.INITIAL;
  fs.readFileSync(program, 'utf8').split('\n').forEach((line, index) => {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, state);
    state = ruleStack;
    for (const token of tokens) {
      const text = line.slice(token.startIndex, token.endIndex);
      if (text.trim() !== '') {
        out.push(`${program}:${index + 1}\t${JSON.stringify(text)}\t${token.scopes.at(-1)}`);
      }
    }
  });
}
console.log(out.join('\n'));
