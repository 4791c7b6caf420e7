"""A real RTSP server, GStreamer's, as the far end of a camera: ``/usr/bin/python3 rtsp_server.py PORT [LOGIN]``.

Runs under the system's Python (Debian: gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-{good,ugly}), so it
imports nothing of ours. LOGIN is basic or digest: then admin with the password in RTSP_PASSWORD is let in.
``--check`` instead of a port ends with 0 where all that it needs is installed.
"""

import os
import sys

import gi

for _name in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(_name, "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 pt=96"
BALL = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=640,height=360,framerate=10/1"
STREAMS = {
    "/h264": f"( {BALL} ! {H264} )",
    "/jpeg": f"( {BALL} ! jpegenc ! rtpjpegpay name=pay0 pt=26 )",
    "/audio": "( audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0 pt=8 )",
    "/raw": f"( {BALL} ! rtpvrawpay name=pay0 pt=96 )",
}

Gst.init(None)
if sys.argv[1] == "--check":
    needed = ("x264enc", "jpegenc", "rtph264pay", "videotestsrc")
    raise SystemExit(not all(map(Gst.ElementFactory.find, needed)))
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
for path, launch in STREAMS.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_shared(True)
    if sys.argv[2:]:
        rights = GstRtspServer.RTSPPermissions()
        for right in ("access", "construct"):
            rights.add_permission_for_role("viewer", f"media.factory.{right}", True)
        factory.set_permissions(rights)
    server.get_mount_points().add_factory(path, factory)
if sys.argv[2:]:
    login = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    password = os.environ["RTSP_PASSWORD"]
    if sys.argv[2] == "digest":
        login.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        login.add_digest("admin", password, token)
    else:
        login.add_basic(GstRtspServer.RTSPAuth.make_basic("admin", password), token)
    server.set_auth(login)
if not server.attach(None):
    raise SystemExit(f"port {sys.argv[1]} is taken")
print("ready", flush=True)
GLib.MainLoop().run()
