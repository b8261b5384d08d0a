# counting from 1 -> stored event number 1 at offset 0
def offset_of(nth):
    return nth
