// Whether an AsyncAPI document is one by AsyncAPI's own schema, its Kafka bindings included:
//
//   node topics.js FILE
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const Ajv = require("ajv");
const formats = require("ajv-formats");
const schema = require("@asyncapi/specs/schemas/3.0.0.json");

const document = JSON.parse(readFileSync(process.argv[2], "utf8"));
// The schema brings the draft that it is written in.
const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false });
formats(ajv);
const judge = ajv.compile(schema);
if (!judge(document)) {
  for (const { instancePath, message, params } of judge.errors.slice(0, 20)) console.error(instancePath, message, JSON.stringify(params));
  process.exit(1);
}
console.log(`${Object.keys(document.channels).length} topics, ${Object.keys(document.operations).length} operations`);
