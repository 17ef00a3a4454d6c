import operator

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def evaluate(text):
    """The value of an expression in reverse Polish notation."""
    stack = []
    for token in text.split():
        if token in OPERATORS:
            if len(stack) < 2:
                raise ValueError(f"{token} needs two operands")
            right = stack.pop()
            left = stack.pop()
            stack.append(OPERATORS[token](right, left))
        else:
            stack.append(float(token))
    if len(stack) != 1:
        raise ValueError("operands are left over")
    return stack[0]
