"""What cameras cost: CPU, peak memory, first picture, a picture of the evidence stream.

``python -m bench.streams [--detector] [WORD…]``. Real streams over the loopback (RTSP, MJPEG, single JPEG) of
clips that ffmpeg makes, sent by another process; 5 frames a second for a detector that costs nothing, or for
the default one. CPU is that of the agent's process alone, in per cent of one core.
"""

import asyncio
import http.server
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SIZES = {"sub": ("640x360", "600k"), "hd": ("1920x1080", "4M"), "4k": ("3840x2160", "16M")}
CASES: dict[str, list[dict[str, str]]] = {
    "sub-stream 640x360": [{"url": "sub"}],
    "sub-stream, evidence_url 1080p": [{"url": "sub", "evidence_url": "hd"}],
    "1080p alone": [{"url": "hd"}],
    "sub-stream, evidence_url 4K": [{"url": "sub", "evidence_url": "4k"}],
    "4K H.264 alone": [{"url": "4k"}],
    "4K MJPEG at 10 a second": [{"url": "mjpeg"}],
    "4K JPEG polled": [{"url": "jpeg"}],
    "two 4K H.264": [{"url": "4k"}, {"url": "4k"}],
}
WARM_S, MEASURED_S = 6.0, 12.0


def make_clips(folder: Path) -> None:
    """The clips of `SIZES`, 25 a second, a key picture every 2 s, and one 4K JPEG."""
    for name, (size, rate) in SIZES.items():
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration=8",
             "-vf", "noise=alls=8:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "50",
             "-b:v", rate, "-pix_fmt", "yuv420p", str(folder / f"{name}.h264")],
            check=True,
        )  # fmt: skip
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=3840x2160:rate=10:duration=1",
         "-vf", "noise=alls=8:allf=t", "-q:v", "4", str(folder / "%d.jpg")],
        check=True,
    )  # fmt: skip


def serve(folder: Path) -> None:
    """Sends the clips until stdin ends; prints the two ports."""
    from tests.encoded_streams import RtspStreams, payloads

    pictures = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        count = 0

        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == "/jpeg":
                Handler.count += 1
                body = pictures[Handler.count % len(pictures)]
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            with suppress(ConnectionError):
                for number in range(10_000):
                    body = pictures[number % len(pictures)]
                    self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + body + b"\r\n")
                    time.sleep(0.1)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    threading.Thread(target=web.serve_forever, daemon=True).start()
    files = {name: folder / f"{name}.h264" for name in SIZES}
    for path in files.values():
        payloads(path.read_bytes(), h265=False, size=900)
    with RtspStreams(files, fps=25) as server:
        print(json.dumps([server.port, web.server_port]), flush=True)
        sys.stdin.read()


async def _watch(cameras: list[dict[str, str]]) -> dict[str, float]:
    """Runs cameras; what they cost."""
    from agent.domain.observations import Sighting
    from agent.vision.camera import Camera
    from agent.vision.detector import DetectorSettings

    if "--detector" not in sys.argv:
        DetectorSettings.load = lambda _: (lambda _: (), True)  # type: ignore[method-assign]
    began_s, seen = time.monotonic(), [list[Sighting]() for _ in cameras]
    first_s = [0.0 for _ in cameras]

    def emit(number: int, value: Any) -> None:
        if isinstance(value, Sighting):
            first_s[number] = first_s[number] or time.monotonic() - began_s
            seen[number][:] = [value]

    running = [
        asyncio.create_task(
            Camera.model_validate({"purpose": "bench"} | camera).run(lambda value, n=number: emit(n, value))
        )
        for number, camera in enumerate(cameras)
    ]
    await asyncio.sleep(WARM_S)
    cpu_s, from_s = time.process_time(), time.monotonic()
    await asyncio.sleep(MEASURED_S)
    cpu = (time.process_time() - cpu_s) / (time.monotonic() - from_s)
    result = {"cpu_percent": round(100 * cpu, 1), "first_s": round(max(first_s), 2)}
    result["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    look = seen[0][0].frame_with_people if seen[0] else None
    if look is not None and look.larger is not None:
        from_s, cpu_s = time.monotonic(), time.process_time()
        picture, later_s = await asyncio.to_thread(look.larger)
        result |= {"picture_ms": round(1000 * (time.monotonic() - from_s)), "later_s": round(later_s, 3)}
        result["picture_width"] = picture.shape[1]
        result["peak_mb_with_picture"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    return result


@contextmanager
def _served(folder: Path) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "bench.streams", "serve", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        rtsp, web = json.loads(server.stdout.readline())
        urls = {name: f"rtsp://127.0.0.1:{rtsp}/{name}" for name in SIZES}
        yield urls | {name: f"http://127.0.0.1:{web}/{name}" for name in ("mjpeg", "jpeg")}
        assert server.stdin is not None
        server.stdin.close()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
        return
    if sys.argv[1:2] == ["watch"]:
        print(json.dumps(asyncio.run(_watch(json.loads(sys.argv[2])))), flush=True)
        return
    options = [word for word in sys.argv[1:] if word.startswith("--")]
    words = [word for word in sys.argv[1:] if word not in options]
    with tempfile.TemporaryDirectory() as name:
        make_clips(Path(name))
        with _served(Path(name)) as urls:
            for case, cameras in CASES.items():
                if words and not any(word in case for word in words):
                    continue
                wanted = [{key: urls[value] for key, value in camera.items()} for camera in cameras]
                command = [sys.executable, "-m", "bench.streams", "watch", json.dumps(wanted), *options]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                print(f"{case:34}", (done.stdout or done.stderr).strip().splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
