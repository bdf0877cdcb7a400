"""Uses the generated client in Python: a study is stored, asked, reported on and worked on in a job, and deleted.

Reads one JSON object from standard input: url, film (the path of a picture), note. Writes one JSON object with what came back.
"""

import json
import sys
import time
from io import BytesIO

from consilium_client import Client
from consilium_client.api.analyses import create_report, get_report, vqa
from consilium_client.api.jobs import create_job, get_job, list_job_items
from consilium_client.api.studies import create_study, delete_study, get_artefact, get_study, list_studies
from consilium_client.models import CreateStudyBody, JobOptions, JobRequest, JobState, JobTask, Problem, ReportRequest, StudyFilter, StudyMetadata, VqaBody
from consilium_client.types import File


def main():
    job = json.load(sys.stdin)
    with open(job["film"], "rb") as f:
        film = f.read()
    client = Client(base_url=job["url"], timeout=60, raise_on_unexpected_status=True)
    picture = lambda: File(payload=BytesIO(film), file_name="film.jpeg", mime_type="image/jpeg")

    study = create_study.sync(client=client, body=CreateStudyBody(
        metadata=StudyMetadata.from_dict({"title": "From Python", "labels": {"client": "python"}}), text=[job["note"]], image=[picture()]))
    stored = get_artefact.sync_detailed(study.id, study.artefacts[1].id, client=client)
    first = list_studies.sync(client=client, limit=1).studies[0]
    answer = vqa.sync(client=client, body=VqaBody(question="What does the image show?", image=picture(), candidates=3))
    report = create_report.sync(study.id, client=client, body=ReportRequest(strict=False))
    again = get_report.sync(report.id, client=client)
    later = create_report.sync(study.id, client=client.with_headers({"Prefer": "respond-async"}), body=ReportRequest(strict=False))

    running = create_job.sync(client=client, body=JobRequest(task=JobTask("questions"), filter_=StudyFilter(ids=[study.id]), options=JobOptions(questions=["What does the image show?", "Is there pneumonia?"])))
    progress = []
    for _ in range(600):
        now = get_job.sync(running.id, client=client)
        progress.append(now.counts.succeeded)
        if now.state == JobState("completed"):
            break
        time.sleep(0.1)
    items = list_job_items.sync(running.id, client=client).items

    missing = get_study.sync("0198c0de-0000-7000-8000-000000000000", client=client)
    gone = delete_study.sync_detailed(study.id, client=client)
    json.dump({
        "title": study.title, "labels": study.labels.to_dict(), "modalities": [a.modality.value for a in study.artefacts],
        "same": stored.content == film, "listed": first.id == study.id, "answer": answer.text, "candidates": len(answer.candidates),
        "disclaimer": report.disclaimer, "sections": [s.name.value for s in report.sections], "again": again.to_dict() == report.to_dict(),
        "later": later.task.value, "progress": progress, "state": now.state.value, "items": [i.state.value for i in items],
        "problem": missing.field if isinstance(missing, Problem) else "", "deleted": gone.status_code,
    }, sys.stdout)


main()
