-- Subtrees that are not wholly in a tree of a size. $1 size
DELETE FROM tree_tiles WHERE level > 6 OR (index + 1) << (8 * level) > $1
