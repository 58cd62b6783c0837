"""No line of TensorFlow is shown when it starts, and every line that matters is."""

import os
import subprocess
import sys

import pytest

from setlist.models.library_noise import is_noise, without_noise

NOISE = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1796005206.883128    5169 port.cc:153] oneDNN custom operations are on. You may "
    "see slightly different numerical results due to floating-point round-off errors.",
    "E0000 00:00:1796005124.419017    2579 util.cc:131] oneDNN supports DT_INT32 only on platforms "
    "with AVX-512. Falling back to the default Eigen-based implementation if present.",
    "W0000 00:00:1796005124.419017    2579 gpu_device.cc:2433] Cannot dlopen some GPU libraries.",
    "2026-11-30 02:15:20.560123: I tensorflow/core/util/port.cc:153] oneDNN custom operations are",
    "2026-11-30 02:15:20.560123: W tensorflow/stream_executor/dso_loader.cc:64] no libcudart",
    "E0000 00:00:1796005124.419017    2579 cuda_fft.cc:477] Unable to register cuFFT factory: "
    "Attempting to register factory for plugin cuFFT when one has already been registered",
    "E0000 00:00:1796005124.419017    2579 cuda_platform.cc:51] failed call to cuInit: INTERNAL: "
    "CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with "
    "the appropriate compiler flags.",
]
MATTERS = [
    "F0000 00:00:1796005124.419017    2579 cpu_feature_guard.cc:32] The TensorFlow library was "
    "compiled to use AVX instructions, but these aren't available on your machine.",
    "E0000 00:00:1796005124.419017    2579 cuda_executor.cc:1] CUDA_ERROR_OUT_OF_MEMORY",
    "ModuleNotFoundError: No module named 'tensorflow'",
    "epoch 3 of 20, ndcg@10 0.1571",
    "I read 3,000 listeners",
    "W: 2026-11-30",
    "",
]


@pytest.mark.parametrize("line", NOISE)
def test_noise_is_told_by_its_words(line: str):
    assert is_noise(line)
    assert is_noise(f"    {line}\n"), "kfp indents what a step prints"


@pytest.mark.parametrize("line", MATTERS)
def test_what_matters_is_no_noise(line: str):
    assert not is_noise(line)


def file_of(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def test_what_is_written_past_python_is_sieved_too(capfd: pytest.CaptureFixture[str]):
    before = file_of(2)
    with without_noise():
        for line in [*NOISE, *MATTERS]:
            os.write(2, f"{line}\n".encode())
        os.write(2, b"without an end")
    assert capfd.readouterr().err == "\n".join([*MATTERS, "without an end"])
    assert file_of(2) == before
    os.write(2, b"after it\n")
    assert capfd.readouterr().err == "after it\n"


def test_last_words_are_shown_though_the_process_dies_of_it():
    program = (
        "import os; from setlist.models.library_noise import without_noise\n"
        f"with without_noise(): os.write(2, {MATTERS[0]!r}.encode()); os.abort()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode < 0
    assert ended.stderr == MATTERS[0]


@pytest.mark.slow
def test_tensorflow_starts_without_a_word():
    program = "from setlist.models.tf import tf; print(int(tf.constant(1) + 1))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("2\n", "")
