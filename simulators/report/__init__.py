"""The report of a run of a scenario: JUnit, one static page, and the comparison of two runs.

    write(folder)      reads run.json, messages/truth/events.ndjson and scenario.yaml of a report's folder,
                       and writes junit.xml and index.html beside them
    compare(a, b)      what differs between two folders: for the terminal, and as a page

The page opens from ``file://``, asks nothing of any server, and has no library: what is not text is drawn by
the style sheet, but for the film. Read `story.py` first: what a run tells, from one pass over its messages.
"""

from simulators.report.comparison import Comparison, compare
from simulators.report.write import JUNIT, PAGE, write

__all__ = ["JUNIT", "PAGE", "Comparison", "compare", "write"]
