"""Reads reports back: JSON on stdin names files of FHIR and of DICOM, JSON on stdout says what is in them.

fhir.resources validates against the definitions of FHIR R4B, whose resources used here are those of R4. highdicom reads the
structured report by its template. Both raise an error on what they do not accept.
"""

import json
import sys

import pydicom
from fhir.resources.R4B.bundle import Bundle
from highdicom.sr import srread

job = json.load(sys.stdin)


def fhir(path):
    with open(path, encoding="utf-8") as f:
        raw = json.load(f)
    bundle = Bundle.model_validate(raw)
    urls = {e.fullUrl for e in bundle.entry}
    dangling = []

    def walk(value):
        if isinstance(value, dict):
            if str(value.get("reference", "")).startswith("urn:") and value["reference"] not in urls:
                dangling.append(value["reference"])
            for v in value.values():
                walk(v)
        elif isinstance(value, list):
            for v in value:
                walk(v)

    walk(raw)
    kinds = [e.resource.get_resource_type() for e in bundle.entry]
    return {"kinds": {k: kinds.count(k) for k in kinds}, "status": bundle.entry[0].resource.status, "dangling": dangling}


def structured(path):
    report = srread(path)
    plain = pydicom.dcmread(path)
    groups = report.content.get_image_measurement_groups()
    texts = []

    def walk(items):
        for item in items:
            if item.ValueType == "TEXT":
                texts.append(item.TextValue)
            walk(item.get("ContentSequence", []))

    walk(plain.ContentSequence)
    return {
        "class": type(report).__name__,
        "content": type(report.content).__name__,
        "template": plain.ContentTemplateSequence[0].TemplateIdentifier,
        "verification": plain.VerificationFlag,
        "preliminary": plain.PreliminaryFlag,
        "study": plain.StudyInstanceUID,
        "instance": plain.SOPInstanceUID,
        "evidence": [
            sop.ReferencedSOPInstanceUID
            for study in plain.get("CurrentRequestedProcedureEvidenceSequence", [])
            for series in study.ReferencedSeriesSequence
            for sop in series.ReferencedSOPSequence
        ],
        "predecessors": [
            sop.ReferencedSOPInstanceUID
            for study in plain.get("PredecessorDocumentsSequence", [])
            for series in study.ReferencedSeriesSequence
            for sop in series.ReferencedSOPSequence
        ],
        "findings": [g.finding_type.meaning for g in groups if g.finding_type is not None],
        "numbers": {m.name.meaning: m.value for g in groups for m in g.get_measurements()},
        "texts": texts,
    }


json.dump({name: fhir(path) if name.endswith("fhir") else structured(path) for name, path in job.items()}, sys.stdout)
