"""The page that shows the specification: one file, from this server alone."""

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hosted strategies: API</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff }
details { border: 1px solid #ccc; border-radius: 4px; margin: .4rem 0; padding: .4rem .8rem }
summary { cursor: pointer }
code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { background: #f4f4f4; padding: .6rem; overflow: auto }
b.method { display: inline-block; width: 4.5rem }
table { border-collapse: collapse } td { padding: .1rem .8rem .1rem 0; vertical-align: top }
</style>
<h1>Hosted strategies: API</h1>
<p id="about">Reading <a href="openapi.json">openapi.json</a> ...</p>
<main id="operations"></main>
<script>
"use strict";
// Text only ever enters the page as text.
const element = (name, text, ...children) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
};
const resolve = (spec, value) => value && value.$ref
  ? value.$ref.slice(2).split("/").reduce((inner, key) => inner[key], spec) : value;
const shown = (spec, title, content) => {
  const found = (content || {})["application/json"];
  if (!found) return [];
  const example = found.example === undefined ? resolve(spec, found.schema) : found.example;
  return [element("h4", title), element("pre", JSON.stringify(example, null, 2))];
};
const operation = (spec, method, path, found) => {
  const name = element("b", method.toUpperCase());
  name.className = "method";
  const head = element("summary", "", name, element("code", path), " " + found.summary);
  const rows = found.parameters.map((one) => element("tr", "",
    element("td", "", element("code", one.name)), element("td", one.in),
    element("td", (one.description || "") + " " + JSON.stringify(one.schema))));
  const body = element("details", "", head, element("table", "", ...rows));
  body.append(...shown(spec, "Body", (found.requestBody || {}).content));
  for (const [status, reference] of Object.entries(found.responses)) {
    const response = resolve(spec, reference);
    body.append(...shown(spec, status + ": " + response.description, response.content));
  }
  return body;
};
fetch("openapi.json").then((answer) => answer.json()).then((spec) => {
  document.getElementById("about").textContent = spec.info.description + " Version "
    + spec.info.version + ". Send a key as `Authorization: Bearer seq_live_...`.";
  const all = Object.entries(spec.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, found]) => operation(spec, method, path, found)));
  document.getElementById("operations").append(...all);
});
</script>
</html>
"""
