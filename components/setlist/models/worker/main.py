"""The program of a worker: `python -m setlist.models.worker.main SOCKET LIMITS`.

It gives up what it does not need, imports TensorFlow, says hello, and answers until its parent is
gone.
"""

import os
import socket
import sys
import tempfile

from setlist.models.worker.confinement import (
    Limits,
    Watch,
    leave_network,
    limit_process,
    refuse_writes,
)


def main() -> None:
    """Serve the socket that the command line names."""
    parent = os.getppid()
    connection = socket.socket(fileno=int(sys.argv[1]))
    limits = Limits.model_validate_json(sys.argv[2])
    # A thread keeps the rights that it had when it began, so these come before all threads.
    limit_process(limits)
    missing = [reason for reason in (leave_network(), refuse_writes()) if reason]
    watch = Watch(parent)
    # What TensorFlow imports asks for the folder of temporary files, and would try to write there.
    tempfile.tempdir = "/"
    # Imported here, since numpy starts threads.
    from setlist.models.worker import frames
    from setlist.models.worker.calls import Worker, serve

    worker = Worker(limits, watch)
    frames.send(connection, frames.Message({"unconfined": "; ".join(missing)}))
    serve(connection, worker)


if __name__ == "__main__":
    main()
