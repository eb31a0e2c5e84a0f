-- Who made a project: that counts against what one account may make, whatever becomes of the project. Until now the first owner.
ALTER TABLE project ADD COLUMN created_by BLOB;
UPDATE project SET created_by = (SELECT m.account FROM member m WHERE m.pid = project.pid AND m.fid = 0 AND m.role = 'owner'
  ORDER BY m.added_at, m.account LIMIT 1);
CREATE INDEX project_created_by ON project(created_by) WHERE created_by IS NOT NULL;
-- Whether an owner took it on; 0 when others made them one and they did nothing yet.
ALTER TABLE member ADD COLUMN accepted INTEGER NOT NULL DEFAULT 1;
