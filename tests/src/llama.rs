//! llama.cpp's server, which speaks OpenAI's wire format and which nobody here wrote, with a model that
//! is made here.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::{venv, world::World};

/// The server is in the wheel; this version's grammars are known to be strict.
const PACKAGES: [&str; 3] = ["xllamacpp==2026.10.11549", "gguf==0.19.0", "numpy"];

/// A server on loopback. It ends with this.
#[derive(Debug)]
pub struct Llama {
    server: Child,
    /// It goes on until this is closed.
    input: Option<ChildStdin>,
    address: String,
}

impl Llama {
    /// Makes a model and serves it. The error says why that cannot be.
    ///
    /// # Errors
    ///
    /// When the packages cannot be had.
    ///
    /// # Panics
    ///
    /// When they are there and do not work.
    pub fn start(world: &World) -> Result<Self, String> {
        let python = venv::with("llama", &PACKAGES)?;
        let file = |name: &str, text: &str| {
            let path = world.path(name);
            fs::write(&path, text).expect("the world is writable");
            path
        };
        let model = world.path("model.gguf");
        let made = Command::new(&python)
            .args([&file("model.py", include_str!("llama/model.py")), &model])
            .output()
            .expect("an interpreter can be executed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let log = fs::File::create(world.path("llama.log")).expect("the world is writable");
        let mut server = Command::new(&python)
            .arg(file("serve.py", include_str!("llama/serve.py")))
            .args([&model, &file("template.jinja", include_str!("llama/template.jinja"))])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("an interpreter can be executed");
        let input = server.stdin.take();
        let mut address = String::new();
        let output = server.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut address).expect("a line can be read");
        let address = address.trim().to_owned();
        let log = fs::read_to_string(world.path("llama.log")).unwrap_or_default();
        assert!(address.starts_with("http://"), "the server did not start: {log}");
        Ok(Self { server, input, address })
    }

    /// What goes behind `--base-url` for OpenAI's wire format.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/v1", self.address)
    }

    /// What goes there for Anthropic's, which it speaks too.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.address
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        drop(self.input.take());
        // It answers nobody any more, and has nothing to lose.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
