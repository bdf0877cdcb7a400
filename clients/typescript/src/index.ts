import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths };

/** Returns a client of the platform at this address, with a method for each of HTTP's and the paths of openapi.yaml. */
export function consilium(baseUrl: string) {
  return createClient<paths>({ baseUrl });
}

/** Makes the form of a study or a question: every part under its name, JSON as JSON, several of a kind one after the other. */
export function form(body: Record<string, unknown>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(body)) {
    for (const part of Array.isArray(value) ? value : [value]) {
      if (part instanceof Blob) {
        data.append(name, part);
      } else if (typeof part === "object" && part !== null) {
        data.append(name, new Blob([JSON.stringify(part)], { type: "application/json" }));
      } else {
        data.append(name, String(part));
      }
    }
  }
  return data;
}
