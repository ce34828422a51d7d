// Renders openapi.json as a page, without any help from elsewhere.

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

const description = await (await fetch("openapi.json")).json();
document.getElementById("summary").textContent = `${description.info.summary} Version ${description.info.version}.`;

const contents = document.getElementById("contents");
const operations = document.getElementById("operations");
operations.replaceChildren();

for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const id = `${method}-${path.replace(/\W+/g, "-")}`;
    contents.append(element("a", { href: `#${id}` }, element("code", {}, path)));
    operations.append(section(id, method, path, operation));
  }
}

function section(id, method, path, operation) {
  const heading = element("h2", {}, element("code", {}, element("span", { className: "method" }, method.toUpperCase()), ` ${path}`), operation.summary ?? "");
  const part = element("section", { id }, heading);
  if (operation.description) part.append(element("p", { className: "soft" }, operation.description));
  for (const [kind, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    part.append(element("h3", {}, "Body, ", element("code", {}, kind)), fields(resolved(schema)));
  }
  part.append(element("h3", {}, "Answers"));
  const rows = Object.entries(operation.responses).map(([status, response]) => {
    const kinds = Object.entries(response.content ?? {});
    const words = [response.description ?? ""];
    if (status === "200") words.push(...kinds.flatMap(([kind]) => [element("br"), element("code", {}, kind)]));
    return element("tr", {}, element("td", {}, element("code", {}, status)), element("td", {}, ...words));
  });
  part.append(element("table", {}, ...rows));
  const answer = operation.responses["200"]?.content?.["application/json"]?.schema;
  if (answer && resolved(answer).properties) part.append(element("h3", {}, "The answer, ", element("code", {}, "application/json")), fields(resolved(answer)));
  return part;
}

function resolved(schema) {
  return schema.$ref ? description.components.schemas[schema.$ref.split("/").at(-1)] : schema;
}

function fields(schema) {
  const needed = new Set(schema.required ?? []);
  return element("table", {}, ...Object.entries(schema.properties ?? {}).map(([name, field]) => element("tr", {},
    element("td", {}, element("code", { className: needed.has(name) ? "needed" : "" }, name)),
    element("td", { className: "soft" }, kind(field)),
    element("td", {}, field.description ?? ""))));
}

function kind(field) {
  if (field.$ref) return field.$ref.split("/").at(-1);
  if (field.anyOf) return field.anyOf.filter(({ type }) => type !== "null").map(kind).join(" or ");
  if (field.enum) return field.enum.join(", ");
  const low = field.minimum ?? (field.exclusiveMinimum !== undefined ? `above ${field.exclusiveMinimum}` : undefined);
  const high = field.maximum ?? (field.exclusiveMaximum !== undefined ? `below ${field.exclusiveMaximum}` : undefined);
  const range = low !== undefined || high !== undefined ? ` ${low ?? ""} to ${high ?? ""}` : "";
  const type = field.type === "array" ? `list of ${kind(field.items ?? {})}` : field.format === "binary" ? "file" : field.type ?? "";
  const preset = field.default !== undefined && field.default !== null ? `, ${field.default} if left out` : "";
  return `${type}${range}${preset}`;
}
