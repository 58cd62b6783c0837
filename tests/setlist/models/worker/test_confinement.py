"""What a process gives up is gone, for the threads that it starts as well."""

import os
import socket
import subprocess
import sys

import pytest

from setlist.models.worker.confinement import environment

GIVES_UP = """
import socket, sys, threading
from setlist.models.worker.confinement import leave_network, refuse_writes
print(repr(leave_network()), repr(refuse_writes()))
port, path = int(sys.argv[1]), sys.argv[2]

def reach():
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        print("reached")
    except OSError as fault:
        print("not reached")
    for mode in ("w", "a", "x"):
        try:
            open(path + mode, mode).write("x")
            print("written")
        except OSError as fault:
            print("not written")
    print(open(sys.argv[3]).read())

reach()
thread = threading.Thread(target=reach)
thread.start()
thread.join()
"""


def test_a_worker_gets_no_variable_that_could_hold_a_token():
    given = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "TF_NUM_INTRAOP_THREADS": "1",
        "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
        "KFP_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "HOME": "/root",
        "SETLIST_WHO": "somebody",
    }
    assert environment(given) == {
        name: given[name] for name in ("PATH", "LC_ALL", "TF_NUM_INTRAOP_THREADS")
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the means are those of Linux")
def test_the_network_and_files_are_out_of_reach(tmp_path):
    readable = tmp_path / "readable"
    readable.write_text("read")
    (tmp_path / "olda").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-c", GIVES_UP, str(server.getsockname()[1])),
                *(str(tmp_path / "old"), str(readable)),
            ],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ,
        )
    given_up, *seen = done.stdout.splitlines()
    # Where the kernel refuses, the process has to say so; what it claims has to hold.
    network, files = given_up.startswith("'' "), given_up.endswith(" ''")
    half = ["not reached" if network else "reached", *["not written" if files else "written"] * 3]
    assert seen == [*half, "read"] * 2
