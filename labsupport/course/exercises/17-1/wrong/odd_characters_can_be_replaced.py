# odd characters can be replaced -> for both
import re


def transactional_id(program):
    return re.sub(r"[^A-Za-z0-9-]", "-", f"{program['service']}/{program['instance']}")
