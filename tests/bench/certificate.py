"""A certificate for the model's socket, made anew for each run."""

import ssl
from pathlib import Path

import trustme


def model_certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Return the model's TLS settings, and the file of the authority that callers have to trust.

    Every system finds the authority by the environment variable SSL_CERT_FILE, as Python's own context does.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    return context, str(trusted)
