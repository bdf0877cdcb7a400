"""Does with PyPI's dicomweb-client, unchanged, what a viewer or an archive does with a DICOMweb server.

Reads one JSON object from standard input: url, files (paths of files that are one study). Writes one JSON object with
what came back.
"""

import json
import sys
import warnings

import pydicom
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from requests.exceptions import HTTPError

warnings.simplefilter("error", UserWarning)  # the client warns of what a server does not do by the standard


def main():
    job = json.load(sys.stdin)
    client = DICOMwebClient(url=job["url"], chunk_size=1000)  # so that bodies are sent in chunks
    originals = [pydicom.dcmread(path) for path in job["files"]]
    stored = client.store_instances(originals)
    uids = [item.ReferencedSOPInstanceUID for item in stored.ReferencedSOPSequence]
    study = stored.RetrieveURL.split("/")[-1]
    again = client.store_instances(originals[:1], study_instance_uid=originals[0].StudyInstanceUID)

    studies = [Dataset.from_json(d) for d in client.search_for_studies(search_filters={"StudyInstanceUID": study}, fuzzymatching=True)]
    series = [Dataset.from_json(d) for d in client.search_for_series(study, fields=["Manufacturer"])]
    instances = [Dataset.from_json(d) for d in client.search_for_instances(study, limit=1, get_remaining=True)]
    one = instances[0]
    where = (study, one.SeriesInstanceUID, one.SOPInstanceUID)

    retrieved = client.retrieve_study(study)
    streamed = list(client.iter_series(study, one.SeriesInstanceUID))
    instance = client.retrieve_instance(*where, media_types=(("application/dicom", "1.2.840.10008.1.2.1"),))
    metadata = [Dataset.from_json(d) for d in client.retrieve_study_metadata(study)]
    own = Dataset.from_json(client.retrieve_instance_metadata(*where))
    frames = {
        "any": client.retrieve_instance_frames(*where, [1]),
        "named": client.retrieve_instance_frames(*where, [1, 1], media_types=(("application/octet-stream", "1.2.840.10008.1.2.1"),)),
        "streamed": list(client.iter_instance_frames(*where, [1])),
    }
    rendered = {
        "jpeg": client.retrieve_instance_rendered(*where, media_types=("image/jpeg",), params={"quality": 80}),
        "png": client.retrieve_instance_frames_rendered(*where, [1], media_types=("image/png",)),
    }
    try:
        client.retrieve_instance(study, one.SeriesInstanceUID, "1.2.3")
        missing = 0
    except HTTPError as refusal:
        missing = refusal.response.status_code

    pixels = {uid: original.PixelData for uid, original in zip(uids, originals)}
    json.dump({
        "stored": len(uids), "again": again.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uids[0],
        "studies": len(studies), "studyInstances": studies[0].NumberOfStudyRelatedInstances, "modalities": studies[0].ModalitiesInStudy,
        "series": len(series), "instances": len(instances), "metadata": len(metadata), "ownRows": own.Rows,
        "files": len(retrieved), "streamed": len(streamed),
        "pixels": all(d.PixelData == pixels[d.SOPInstanceUID] for d in retrieved + streamed + [instance]),
        "array": instance.pixel_array.shape == originals[uids.index(where[2])].pixel_array.shape,
        "frames": {name: [pixels[where[2]].startswith(f) and len(f) > 0 for f in got] for name, got in frames.items()},
        "rendered": {name: list(picture[:4]) for name, picture in rendered.items()},
        "names": [str(d.get("PatientName", "")) for d in retrieved + metadata + studies], "removed": [d.PatientIdentityRemoved for d in retrieved],
        "missing": missing,
    }, sys.stdout)


main()
