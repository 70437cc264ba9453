//! Reads the logs that the loggers write.
//!
//! Files are read in batches, so that neither a large log nor a slow reader costs memory. Who follows
//! looks again a few times a second; a log that was put aside in the meantime is read to its end first.

pub(crate) mod line;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(crate) use line::Line;

/// Where the logger writes, and what it put aside.
pub(crate) const FILE: &str = "log";
pub(crate) const OLD_FILE: &str = "log.1";

const BATCH: usize = 256;

/// A position in a container's log.
#[derive(Debug)]
pub(crate) struct Reader {
    directory: PathBuf,
    /// The files that are left to read, the current one last.
    files: Vec<BufReader<File>>,
    /// The current file, to see when another takes its place.
    inode: Option<u64>,
    /// A line that was not complete yet.
    partial: Vec<u8>,
    skip: usize,
}

impl Reader {
    /// Opens the log in a directory at its beginning, or before its last `tail` lines unless 0.
    pub(crate) fn open(directory: &Path, tail: usize) -> io::Result<Self> {
        let mut reader = Self::at_start(directory)?;
        if tail > 0 {
            let mut lines = 0_usize;
            while let batch @ 1.. = reader.batch()?.len() {
                lines += batch;
            }
            reader = Self::at_start(directory)?;
            reader.skip = lines.saturating_sub(tail);
        }
        Ok(reader)
    }

    fn at_start(directory: &Path) -> io::Result<Self> {
        let mut reader = Self {
            directory: directory.to_owned(),
            files: Vec::new(),
            inode: None,
            partial: Vec::new(),
            skip: 0,
        };
        if let Some(old) = open(&directory.join(OLD_FILE))? {
            reader.files.push(BufReader::new(old));
        }
        reader.follow_rotation()?;
        Ok(reader)
    }

    /// Returns the next lines, at most a batch; none when there are none yet.
    pub(crate) fn batch(&mut self) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        while lines.len() < BATCH {
            let Some(file) = self.files.first_mut() else {
                if self.follow_rotation()? {
                    continue;
                }
                break;
            };
            let length = file.read_until(b'\n', &mut self.partial)?;
            if self.partial.ends_with(b"\n") {
                let line = Line::parse(&self.partial);
                self.partial.clear();
                if self.skip > 0 {
                    self.skip -= 1;
                } else {
                    lines.extend(line);
                }
            } else if length == 0 {
                if self.files.len() > 1 {
                    self.files.remove(0);
                    self.partial.clear();
                } else if !self.follow_rotation()? {
                    break;
                }
            }
        }
        Ok(lines)
    }

    /// Takes up the current file, if it is not the one that is being read.
    fn follow_rotation(&mut self) -> io::Result<bool> {
        let Some(file) = open(&self.directory.join(FILE))? else {
            return Ok(false);
        };
        let inode = Some(file.metadata()?.ino());
        if inode == self.inode {
            return Ok(false);
        }
        self.inode = inode;
        self.files.push(BufReader::new(file));
        Ok(true)
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match fs::File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    fn append(directory: &Path, name: &str, text: &str) {
        let path = directory.join(name);
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_tail_reaches_back_into_what_was_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        append(directory.path(), OLD_FILE, "1 stdout a\n2 stdout b\n");
        append(directory.path(), FILE, "3 stderr c\n");
        let mut all = Reader::open(directory.path(), 0).unwrap();
        assert_eq!(texts(&all.batch().unwrap()), ["a", "b", "c"]);
        let mut tail = Reader::open(directory.path(), 2).unwrap();
        assert_eq!(texts(&tail.batch().unwrap()), ["b", "c"]);
    }

    #[test]
    fn a_follower_gets_whole_lines_across_a_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = Reader::open(directory.path(), 0).unwrap();
        assert!(reader.batch().unwrap().is_empty());
        append(directory.path(), FILE, "1 stdout a\n2 stdo");
        assert_eq!(texts(&reader.batch().unwrap()), ["a"]);
        append(directory.path(), FILE, "ut b\n3 stdout c\n");
        fs::rename(directory.path().join(FILE), directory.path().join(OLD_FILE)).unwrap();
        append(directory.path(), FILE, "4 stdout d\n");
        assert_eq!(texts(&reader.batch().unwrap()), ["b", "c", "d"]);
    }
}
