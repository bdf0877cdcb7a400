// Uses the generated client in TypeScript as client.py does the one in Python.

import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

import { consilium, form } from "./index.js";

const job = JSON.parse(readFileSync(0, "utf8")) as { url: string; film: string; note: string };
const film = readFileSync(job.film);
const picture = () => new Blob([film], { type: "image/jpeg" }) as unknown as string; // bytes are strings in the types
const client = consilium(job.url);

function must<T>(answer: { data?: T; error?: { detail: string } }): T {
  if (answer.data === undefined) {
    throw new Error(answer.error?.detail ?? "there is no answer");
  }
  return answer.data;
}

const study = must(
  await client.POST("/v1/studies", {
    body: { metadata: { title: "From TypeScript", labels: { client: "typescript" } }, text: [job.note], image: [picture()] },
    bodySerializer: form,
  }),
);
const path = { study_id: study.id };
const stored = must(
  await client.GET("/v1/studies/{study_id}/artefacts/{artefact_id}", { params: { path: { ...path, artefact_id: study.artefacts[1]!.id } }, parseAs: "arrayBuffer" }),
);
const listed = must(await client.GET("/v1/studies", { params: { query: { limit: 1 } } }));
const answer = must(await client.POST("/v1/vqa", { body: { question: "What does the image show?", image: picture(), candidates: 3 }, bodySerializer: form }));
const report = must(await client.POST("/v1/studies/{study_id}/reports", { params: { path }, body: { strict: false } }));
if (typeof report === "string" || "task" in report) {
  throw new Error("neither events nor a job were asked for");
}
const again = must(await client.GET("/v1/reports/{report_id}", { params: { path: { report_id: report.id } } }));
const later = must(await client.POST("/v1/studies/{study_id}/reports", { params: { path }, body: { strict: false }, headers: { Prefer: "respond-async" } }));

let now = must(
  await client.POST("/v1/jobs", {
    body: { task: "questions", filter: { ids: [study.id] }, options: { questions: ["What does the image show?", "Is there pneumonia?"] } },
  }),
);
const progress: number[] = [];
for (let i = 0; i < 600 && now.state !== "completed"; i++) {
  await setTimeout(100);
  now = must(await client.GET("/v1/jobs/{job_id}", { params: { path: { job_id: now.id } } }));
  progress.push(now.counts.succeeded);
}
const items = must(await client.GET("/v1/jobs/{job_id}/items", { params: { path: { job_id: now.id } } })).items;

const missing = await client.GET("/v1/studies/{study_id}", { params: { path: { study_id: "0198c0de-0000-7000-8000-000000000000" } } });
const gone = await client.DELETE("/v1/studies/{study_id}", { params: { path } });
console.log(
  JSON.stringify({
    title: study.title,
    labels: study.labels,
    modalities: study.artefacts.map((a) => a.modality),
    same: Buffer.from(stored).equals(film),
    listed: listed.studies[0]?.id === study.id,
    answer: answer.text,
    candidates: answer.candidates.length,
    disclaimer: report.disclaimer,
    sections: report.sections.map((s) => s.name),
    again: JSON.stringify(again) === JSON.stringify(report),
    later: typeof later !== "string" && "task" in later ? later.task : "",
    progress,
    state: now.state,
    items: items.map((i) => i.state),
    problem: missing.error?.field ?? "",
    deleted: gone.response.status,
  }),
);
