"use strict";
// Renders the OpenAPI description in #spec: what each operation takes and returns, with a form to try it.
const spec = JSON.parse(document.getElementById("spec").textContent);

// el makes an element: el("a", {href: "#x"}, "text", child, ...).
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== ""));
  return node;
}

// resolve follows a $ref inside the description.
function resolve(thing) {
  if (!thing || !thing.$ref) return thing || {};
  return resolve(thing.$ref.slice(2).split("/").reduce((at, key) => at[key], spec));
}

function paragraphs(text) {
  return (text || "").trim().split(/\n\s*\n/).filter(Boolean).map((p) => {
    const node = el("p");
    p.split(/`([^`]*)`/).forEach((piece, i) => node.append(i % 2 ? el("code", {}, piece) : piece));
    return node;
  });
}

// typeName says in a few words what a schema allows.
function typeName(schema) {
  if (schema.oneOf) return schema.oneOf.map((s) => typeName(resolve(s))).join(" or ");
  if (schema.type === "array") return "list of " + typeName(resolve(schema.items));
  const words = [schema.format === "binary" ? "file" : schema.format || schema.type || "anything"];
  if (schema.enum) words.push(schema.enum.join(" | "));
  if (schema.minimum !== undefined || schema.maximum !== undefined) words.push(`${schema.minimum ?? "…"} to ${schema.maximum ?? "…"}`);
  if (schema.maxLength !== undefined) words.push(`at most ${schema.maxLength} characters`);
  if (schema.default !== undefined) words.push(`default ${schema.default}`);
  return words.join(", ");
}

// members lists the fields of an object schema, and of the objects inside it.
function members(schema, depth) {
  schema = resolve(schema);
  if (schema.type === "array") return members(schema.items, depth);
  if (schema.oneOf) return schema.oneOf.map((s) => members(s, depth)).find(Boolean);
  if (!schema.properties || depth > 4) return undefined;
  const list = el("ul", { class: "schema" });
  for (const [name, raw] of Object.entries(schema.properties)) {
    const field = resolve(raw);
    const item = el("li", {}, el("code", {}, name), " ", el("span", { class: "type" }, typeName(field)));
    if ((schema.required || []).includes(name)) item.append(" ", el("span", { class: "need" }, "required"));
    if (field.description) item.append(" ", el("span", { class: "type" }, "— " + field.description.trim()));
    const inner = members(field, depth + 1);
    if (inner) item.append(inner);
    list.append(item);
  }
  return list;
}

// example builds a body that shows the shape of a schema.
function example(schema) {
  schema = resolve(schema);
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.oneOf) return example(schema.oneOf[0]);
  if (schema.type === "object") {
    const body = {};
    for (const name of schema.required || Object.keys(schema.properties || {}).slice(0, 2)) body[name] = example(schema.properties[name]);
    return body;
  }
  return { array: [], integer: 1, number: 1, boolean: false }[schema.type] ?? "text";
}

function control(name, schema, required) {
  schema = resolve(schema);
  const many = schema.type === "array";
  const leaf = many ? resolve(schema.items) : schema;
  let input;
  if (leaf.format === "binary") input = el("input", { type: "file", name, multiple: many });
  else if (leaf.type === "object") input = el("textarea", { name, "data-json": true }, JSON.stringify(example(leaf), null, 2));
  else if (leaf.type === "boolean") input = el("select", { name }, el("option", { value: "" }, ""), el("option", {}, "true"), el("option", {}, "false"));
  else input = el("input", { name, required });
  return el("label", {}, `${name} (${typeName(schema)})`, input);
}

async function show(output, response, started) {
  const type = response.headers.get("content-type") || "";
  const head = `${response.status} ${response.statusText}  ${Math.round(performance.now() - started)} ms  ${type}`;
  const timing = response.headers.get("server-timing");
  output.replaceChildren(el("pre", {}, head + (timing ? "\nServer-Timing: " + timing : "")));
  if (response.status === 204) return;
  if (type.startsWith("image/")) output.append(el("img", { src: URL.createObjectURL(await response.blob()), alt: "the stored image" }));
  else if (type.includes("json")) output.append(el("pre", {}, JSON.stringify(await response.json(), null, 2)));
  else if (type.startsWith("text/") || type.includes("yaml")) output.append(el("pre", {}, await response.text()));
  else output.append(el("pre", {}, (await response.blob()).size + " bytes"));
}

// tryForm returns the form that sends one operation.
function tryForm(path, method, operation, parameters) {
  const output = el("output");
  const media = operation.requestBody && Object.keys(resolve(operation.requestBody).content)[0];
  const schema = media && resolve(resolve(operation.requestBody).content[media].schema);
  const form = el("form", {
    submit: async (event) => {
      event.preventDefault();
      const data = new FormData(form);
      const query = new URLSearchParams();
      const request = { method: method.toUpperCase(), headers: {} };
      let url = path;
      for (const p of parameters) {
        const value = data.get(p.name);
        if (p.in === "path") url = url.replace(`{${p.name}}`, encodeURIComponent(value));
        else if (value && p.in === "header") request.headers[p.name] = value;
        else if (value) query.set(p.name, value);
      }
      if (media === "multipart/form-data") {
        request.body = new FormData();
        for (const name of Object.keys(schema.properties)) {
          for (const value of data.getAll(name)) {
            if (value instanceof File ? value.size > 0 : value !== "") request.body.append(name, value);
          }
        }
      } else if (media && data.get("body").trim()) {
        request.headers["Content-Type"] = media;
        request.body = data.get("body");
      }
      const started = performance.now();
      try {
        await show(output, await fetch(url + (query.size ? "?" + query : ""), request), started);
      } catch (error) {
        output.replaceChildren(el("pre", {}, String(error)));
      }
    },
  });
  for (const p of parameters) form.append(control(p.name, p.schema, p.required));
  if (media === "multipart/form-data") {
    for (const [name, field] of Object.entries(schema.properties)) form.append(control(name, field, (schema.required || []).includes(name)));
  } else if (media) {
    form.append(el("label", {}, `body (${media})`, el("textarea", { name: "body" }, JSON.stringify(example(schema), null, 2))));
  }
  form.append(el("button", {}, "Send"));
  return el("div", {}, el("h3", {}, "Try it"), form, output);
}

function operationCard(path, method, operation, shared) {
  const parameters = [...(shared || []), ...(operation.parameters || [])].map(resolve);
  const body = el("div", {}, ...paragraphs(operation.description));
  if (parameters.length) {
    body.append(el("h3", {}, "Parameters"), el("ul", { class: "schema" }, ...parameters.map((p) =>
      el("li", {}, el("code", {}, p.name), " ", el("span", { class: "type" }, `in ${p.in}, ${typeName(resolve(p.schema))}${p.description ? " — " + p.description : ""}`)))));
  }
  if (operation.requestBody) {
    const [media, content] = Object.entries(resolve(operation.requestBody).content)[0];
    body.append(el("h3", {}, "Body ", el("span", { class: "type" }, media)), members(content.schema, 0) || "");
  }
  body.append(el("h3", {}, "Answers"));
  for (const [status, raw] of Object.entries(operation.responses)) {
    const response = resolve(raw);
    const media = Object.keys(response.content || {})[0];
    const fields = media && members(response.content[media].schema, 0);
    const line = el("p", {}, el("code", {}, status === "default" ? "4xx, 5xx" : status), " " + response.description.trim(), " ", el("span", { class: "type" }, media || ""));
    body.append(fields ? el("details", {}, el("summary", {}, ...line.childNodes), fields) : line);
  }
  body.append(tryForm(path, method, operation, parameters));
  return el("details", { class: "operation", id: operation.operationId },
    el("summary", {}, el("span", { class: "method " + method }, method.toUpperCase()), el("code", {}, path), el("span", { class: "type" }, operation.summary)), body);
}

document.getElementById("title").textContent = `${spec.info.title} ${spec.info.version}`;
document.getElementById("intro").append(...paragraphs(spec.info.description));
for (const tag of spec.tags) {
  document.getElementById("nav").append(el("h2", {}, tag.name));
  document.getElementById("main").append(el("h2", {}, tag.name, " ", el("small", {}, tag.description)));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of ["post", "get", "delete"]) {
      const operation = item[method];
      if (!operation || !operation.tags.includes(tag.name)) continue;
      const card = operationCard(path, method, operation, item.parameters);
      document.getElementById("main").append(card);
      document.getElementById("nav").append(el("a", { href: "#" + operation.operationId, click: () => { card.open = true; } }, operation.summary));
    }
  }
}
const linked = location.hash && document.getElementById(location.hash.slice(1));
if (linked) { linked.open = true; linked.scrollIntoView(); }
