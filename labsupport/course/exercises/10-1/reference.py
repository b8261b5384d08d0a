from labsupport import Event


def to_redrive(letters):
    """The dead letters that the fixed service can process."""
    chosen = []
    for letter in letters:
        release = dict(letter.headers).get("release")
        if release == b"2.4" and "above the limit" in letter.message:
            if Event.decode(letter.value).payload["amount"] / 100 <= 10_000:
                chosen.append(letter)
    return chosen
