"""Makes bench/clip_1080p.mp4 anew out of the demo's photographs: ``python -m bench.make_clip``. Needs ffmpeg.

150 frames 1920 x 1080 at 30 a second, H.264 high profile without B frames, a key frame every 2 s, as cameras
send them; about 2 Mbit/s. OpenCV's wheel has no encoder for H.264, so the clip is in the repository.
"""

import subprocess
from pathlib import Path

CLIP = Path(__file__).parent / "clip_1080p.mp4"
FRAMES, FPS, WIDTH, HEIGHT = 150, 30, 1920, 1080


def main() -> None:
    """Writes it."""
    import cv2

    from simulators.scene import Scene

    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-"]
    packed = [
        "-c:v",
        "libx264",
        "-preset",
        "medium",
        "-crf",
        "28",
        "-bf",
        "0",
        "-g",
        "60",
        "-pix_fmt",
        "yuv420p",
    ]
    scene = Scene(comes_s=0, leaves_s=100)
    with subprocess.Popen(
        ["ffmpeg", "-v", "error", "-y", *raw, *packed, "-movflags", "+faststart", str(CLIP)],
        stdin=subprocess.PIPE,
    ) as packer:
        assert packer.stdin is not None
        for number in range(FRAMES):
            picture = cv2.resize(scene.picture(number / FPS), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            packer.stdin.write(picture.tobytes())
    if packer.returncode != 0:
        raise SystemExit("ffmpeg failed")


if __name__ == "__main__":
    main()
