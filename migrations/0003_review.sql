-- +goose Up
-- An answer whose confidence is below review_below waits for a person. What was answered before this step is
-- judged by the default of 0.7.
ALTER TABLE answers
    ADD COLUMN review_below double precision NOT NULL DEFAULT 0.7 CHECK (review_below BETWEEN 0 AND 1),
    ADD COLUMN status text CHECK (status IN ('answered', 'needs_review'));
UPDATE answers SET status =
    CASE WHEN (result -> 'answers' -> 0 -> 'probability')::double precision < review_below THEN 'needs_review' ELSE 'answered' END;
ALTER TABLE answers
    ALTER COLUMN review_below DROP DEFAULT,
    ALTER COLUMN status SET NOT NULL,
    ADD CONSTRAINT answers_status CHECK
        ((status = 'needs_review') = ((result -> 'answers' -> 0 -> 'probability')::double precision < review_below));

-- +goose Down
ALTER TABLE answers DROP COLUMN status, DROP COLUMN review_below;
