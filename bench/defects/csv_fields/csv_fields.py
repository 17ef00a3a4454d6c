def split_fields(line, separator=","):
    """The fields of a line; quotes protect separators, doubled quotes stand for one."""
    fields, current, is_quoted = [], "", False
    at = 0
    while at < len(line):
        sign = line[at]
        if is_quoted:
            if sign == '"' and line[at + 1 : at + 2] == '"':
                current += '"'
                at += 1
            elif sign == '"':
                is_quoted = False
            else:
                current += sign
        elif sign == '"' and current:
            is_quoted = True
        elif sign == separator:
            fields.append(current)
            current = ""
        else:
            current += sign
        at += 1
    fields.append(current)
    return fields
