"""Property numbers of cv2.VideoCapture, written down so that nobody loads OpenCV to name one."""

POS_MSEC, FRAME_WIDTH, FRAME_HEIGHT, FPS, FOURCC, FRAME_COUNT = 0, 3, 4, 5, 6, 7
