# keys can be numbered as they come -> In a new process your function returns something else
numbers = {}


def key_of(event):
    about = next(v for name, v in event.payload.items() if name != "user_id")
    return b"%d" % numbers.setdefault(about, len(numbers))
