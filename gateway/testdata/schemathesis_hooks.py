"""Teaches schemathesis to send files of DICOM as STOW-RS wants them: parts of multipart/related."""

import schemathesis

BOUNDARY = "part-of-a-study"


@schemathesis.serializer("multipart/related")
def related(context, value):
    file = value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")
    return b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (BOUNDARY.encode(), file, BOUNDARY.encode())


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.media_type == "multipart/related" and (case.headers or {}).get("Content-Type", case.media_type) == case.media_type:
        case.headers["Content-Type"] = 'multipart/related; type="application/dicom"; boundary=' + BOUNDARY
