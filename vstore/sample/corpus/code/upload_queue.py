"""Send readings to the parish server; keep them on disk while there is no network."""

import sqlite3
import time


class UploadQueue:
    """A queue that forgets a reading only after the server has confirmed it."""

    def __init__(self, path, send):
        self.db = sqlite3.connect(path)
        self.db.execute("CREATE TABLE IF NOT EXISTS queue (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        self.send = send

    def put(self, body):
        with self.db:
            self.db.execute("INSERT INTO queue (body) VALUES (?)", (body,))

    def drain(self, first_wait_s=2, longest_wait_s=300):
        """Send the oldest first. After each failure wait twice as long, up to five minutes."""
        wait = first_wait_s
        while (row := self.db.execute("SELECT id, body FROM queue ORDER BY id LIMIT 1").fetchone()) is not None:
            try:
                self.send(row[1])
            except OSError:
                time.sleep(wait)
                wait = min(2 * wait, longest_wait_s)
                continue
            wait = first_wait_s
            with self.db:
                self.db.execute("DELETE FROM queue WHERE id = ?", (row[0],))
