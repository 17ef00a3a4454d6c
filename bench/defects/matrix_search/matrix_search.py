def staircase_search(matrix, target):
    """The (row, column) of target; rows and columns ascend."""
    if not matrix:
        return None
    row, column = 0, len(matrix[0]) - 1
    while row < len(matrix) and column >= 0:
        value = matrix[row][column]
        if value == target:
            return column, row
        if value > target:
            column -= 1
        else:
            row += 1
    return None
