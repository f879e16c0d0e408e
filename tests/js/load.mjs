// Loads a module of labkit/widgets with the siblings it imports. The package has no package.json that would say
// that its .js files are ES modules, so node gets them as data.

import { readFileSync } from "node:fs";

const FOLDER = new URL("../../labkit/widgets/", import.meta.url);
const loaded = new Map();

/** The module's exports. */
export function load(name) {
  return import(address(name));
}

function address(name) {
  if (!loaded.has(name)) {
    const text = readFileSync(new URL(name, FOLDER), "utf8");
    const linked = text.replace(/from "\.\/(\w+\.js)"/g, (_, sibling) => `from "${address(sibling)}"`);
    loaded.set(name, `data:text/javascript;base64,${Buffer.from(linked).toString("base64")}`);
  }
  return loaded.get(name);
}
