-- A node that holds a part of a graph asks for an object's arriving edges and for
-- the objects of a type. Neither index names what an update changes, so that
-- updates stay in place.

-- +goose Up
CREATE INDEX edges_arriving ON edges (graph, to_id, label) WHERE NOT deleted;
CREATE INDEX objects_of_type ON objects (graph, type) WHERE NOT deleted;

-- +goose Down
DROP INDEX objects_of_type;
DROP INDEX edges_arriving;
