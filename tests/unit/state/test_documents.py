"""Documents are read by several threads at once, also the first time."""

import subprocess
import sys

import pytest

FIRST_READERS = """
import sys, threading
sys.setswitchinterval(1e-6)
from core.errors import CorruptDocument
from core.model.container import ContainerConfig, ContainerSettings
from core.model.network import Network
from core.state.documents import read_struct

together = threading.Barrier(4)

def read(path, kind, struct):
    together.wait()
    for _ in range(3):
        try:
            read_struct(path, kind, struct)
        except CorruptDocument:
            pass

kinds = (ContainerConfig, Network, ContainerConfig, ContainerSettings)
threads = [threading.Thread(target=read, args=(sys.argv[1], "any", kind)) for kind in kinds]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("_attempt", range(8))
def test_threads_that_are_the_first_to_read_a_kind_of_document_dont_crash(tmp_path, _attempt):
    path = tmp_path / "document"
    path.write_text(
        '{"schema":1,"kind":"any","name":"n","id":"i","created_ns":1,"driver":"d","spec":{"image":"x"},'
        '"members":[{"network":"n","network_id":"i","endpoint_id":"e"}],"settings":{"name":"s","limits":{}}}'
    )
    done = subprocess.run([sys.executable, "-c", FIRST_READERS, str(path)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
