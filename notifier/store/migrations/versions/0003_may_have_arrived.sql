-- Whether a try of a waiting message ended without an answer: such a message never changes its channel.
ALTER TABLE work ADD COLUMN may_have_arrived boolean NOT NULL DEFAULT false;
