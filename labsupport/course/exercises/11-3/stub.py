from labsupport import Event, inbox, replay


def handle(record, database, mail):
    """One row for each event; one mail for each that came live."""
    return ...
