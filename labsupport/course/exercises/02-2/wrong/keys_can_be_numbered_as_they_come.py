# keys can be numbered as they come -> After a restart the same
numbers = {}


def key_of(event):
    about = next(v for name, v in event.payload.items() if name != "user_id")
    return b"%d" % numbers.setdefault(about, len(numbers))
