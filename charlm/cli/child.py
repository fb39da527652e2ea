"""``charlm`` in a process that ends when the one that started it is gone, as a run of a sweep does.

    python -m charlm.cli.child train book.txt --steps 100

Its standard input is a pipe whose other end only that process holds. The system closes it when the
process ends, however it ends; then the run saves and stops, as it does with SIGTERM.
"""

from __future__ import annotations

import os
import signal
import threading


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from charlm.cli import main as charlm

    charlm(prog_name="charlm")


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    if hasattr(signal, "pthread_kill"):
        # Python handles it in the main thread, which may be asleep in a system call.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
