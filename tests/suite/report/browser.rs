//! A headless browser that renders a file.

use agentcheck_tests::processes::{output, program};
use agentcheck_tests::scratch::Scratch;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How long the browser may take, in seconds: it is done in one or two.
const LIMIT: &str = "120";

/// What the reader prefers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scheme {
    Dark = 0,
    Light = 1,
}

/// Chromium without a window.
pub(crate) struct Browser {
    program: PathBuf,
    profile: PathBuf,
    shot: PathBuf,
}

impl Browser {
    pub(crate) fn new(scratch: &Scratch) -> Self {
        Self {
            program: program("chromium-headless-shell", "chromium-headless-shell"),
            profile: scratch.directory("browser"),
            shot: scratch.file("shot.png"),
        }
    }

    fn run(&self, file: &Path, arguments: &[String]) -> String {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", LIMIT])
            .arg(&self.program)
            // Tests run as root and in containers, and the page is our own.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--hide-scrollbars", "--force-device-scale-factor=1"])
            .arg(format!("--user-data-dir={}", self.profile.display()))
            .args(arguments)
            .arg(format!("file://{}", file.display()));
        let output = output(&mut command);
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The document as the browser has it after parsing.
    pub(crate) fn dom(&self, file: &Path) -> String {
        self.run(file, &["--dump-dom".to_owned()])
    }

    /// The visible content of a window of this size.
    pub(crate) fn shot(&self, file: &Path, scheme: Scheme, size: (u32, u32)) -> Shot {
        let _ = std::fs::remove_file(&self.shot);
        self.run(
            file,
            &[
                format!("--blink-settings=preferredColorScheme={}", scheme as u8),
                format!("--window-size={},{}", size.0, size.1),
                format!("--screenshot={}", self.shot.display()),
            ],
        );
        Shot::read(&self.shot)
    }
}

/// A picture.
pub(crate) struct Shot {
    pub(crate) size: (u32, u32),
    pixels: Vec<[u8; 3]>,
}

impl Shot {
    /// Reads a PNG as browsers write it: 8 bits a channel, RGB or RGBA, not interlaced.
    fn read(file: &Path) -> Self {
        let file = std::fs::read(file).unwrap();
        let mut rest = file.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        let mut size = (0, 0);
        let mut channels = 0;
        let mut packed = Vec::new();
        while !rest.is_empty() {
            let (head, after) = rest.split_at(8);
            let (data, after) = after.split_at(usize::try_from(number(&head[..4])).unwrap());
            match &head[4..] {
                b"IHDR" => {
                    size = (number(&data[..4]), number(&data[4..8]));
                    channels = match data[8..] {
                        [8, 2, 0, 0, 0] => 3,
                        [8, 6, 0, 0, 0] => 4,
                        _ => panic!("{data:?}"),
                    };
                }
                b"IDAT" => packed.extend_from_slice(data),
                _ => {}
            }
            rest = &after[4..];
        }
        let bytes = miniz_oxide::inflate::decompress_to_vec_zlib(&packed).unwrap();
        let width = usize::try_from(size.0).unwrap() * channels;
        let mut above = vec![0; width];
        let mut pixels = Vec::new();
        for row in bytes.chunks_exact(width + 1) {
            above = unfiltered(row[0], &row[1..], &above, channels);
            pixels.extend(above.chunks_exact(channels).map(|p| [p[0], p[1], p[2]]));
        }
        assert_eq!(pixels.len(), usize::try_from(size.0 * size.1).unwrap());
        Self { size, pixels }
    }

    pub(crate) fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        self.pixels[usize::try_from(y * self.size.0 + x).unwrap()]
    }

    /// How many colours there are.
    pub(crate) fn colours(&self) -> usize {
        self.pixels.iter().collect::<HashSet<_>>().len()
    }

    /// How many pixels are of this colour.
    pub(crate) fn count(&self, colour: [u8; 3]) -> usize {
        self.pixels.iter().filter(|pixel| **pixel == colour).count()
    }
}

/// A row of a PNG, which is written as what it differs in from its neighbours.
fn unfiltered(kind: u8, row: &[u8], above: &[u8], channels: usize) -> Vec<u8> {
    let mut done: Vec<u8> = Vec::with_capacity(row.len());
    for (at, byte) in row.iter().enumerate() {
        let before = |row: &[u8]| at.checked_sub(channels).map_or(0, |at| row[at]);
        let (left, up, corner) = (before(&done), above[at], before(above));
        let guess = match kind {
            0 => 0,
            1 => left,
            2 => up,
            3 => left.midpoint(up),
            4 => {
                let sum = i16::from(left) + i16::from(up) - i16::from(corner);
                // The nearest; of those that are as near, the first.
                let away = |byte: &u8| (sum - i16::from(*byte)).abs();
                [left, up, corner].into_iter().min_by_key(away).unwrap()
            }
            _ => panic!("filter {kind}"),
        };
        done.push(byte.wrapping_add(guess));
    }
    done
}
