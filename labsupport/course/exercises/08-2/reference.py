from labsupport import story


def handle(event, database):
    """One row in effects for this event, however often it comes."""
    row = (event.event_id, story.key_of(event).decode(), str(event.payload["amount"]))
    with database:
        mark = "INSERT OR IGNORE INTO inbox VALUES (?, 0)"
        if database.execute(mark, (event.event_id,)).rowcount == 1:
            database.execute("INSERT INTO effects VALUES (?, ?, ?)", row)
