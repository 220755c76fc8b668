-- Asked for each message that goes out, with its tenant; and, without, for each person who is erased.
CREATE INDEX contact_person ON contact (person_id, tenant);
-- Counted for each look at /metrics.
CREATE INDEX dead_letter_waiting ON dead_letter (kind) WHERE retried_at IS NULL AND data_key IS NOT NULL;
