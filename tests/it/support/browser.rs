//! A real browser: Chromium without a window, told what to do over its debugging pipe (Chrome DevTools Protocol).
//!
//! `scripts/setup.sh test` installs it; `AIRGATE_TEST_CHROMIUM` names another one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest that any answer of the browser may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with an empty profile and one tab. Ends when it is dropped.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    number: u64,
    tab: String,
    _profile: TempDir,
}

impl Browser {
    #[track_caller]
    pub fn start() -> Self {
        Self::with(&[], &[])
    }

    /// With more arguments, and variables of its environment.
    #[track_caller]
    pub fn with(arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let program = std::env::var("AIRGATE_TEST_CHROMIUM").unwrap_or_else(|_| "chromium".into());
        // It reads commands from descriptor 3, and writes answers to 4.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 >/dev/null 2>"$HOME/log""#;
        let mut child = Command::new("sh")
            .args(["-c", script, &program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args([
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--no-proxy-server",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(arguments)
            .arg("about:blank")
            .env("HOME", profile.path())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let (tell, messages) = channel();
        std::thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser =
            Self { child, commands, messages, number: 0, tab: String::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.tab = attached["sessionId"].as_str().unwrap().to_owned();
        browser.call("Page.enable", json!({}));
        browser
    }

    /// Goes to an address, as if it had been typed in, and waits until the page is there.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({"url": url}));
        assert!(gone.get("errorText").is_none(), "{url}: {gone}");
        self.event("Page.loadEventFired");
    }

    /// Runs a script in the page, and awaits what it promises.
    #[track_caller]
    pub fn run(&mut self, script: &str) -> Value {
        let asked = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let ran = self.call("Runtime.evaluate", asked);
        assert!(ran.get("exceptionDetails").is_none(), "{script}: {ran}");
        ran["result"]["value"].clone()
    }

    /// Has the page be seen as on a screen of this size, dark or light.
    #[track_caller]
    pub fn look_as(&mut self, width: u32, height: u32, scheme: &str) {
        let mobile = width < 600;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// A picture of the whole page, in PNG.
    #[track_caller]
    pub fn picture(&mut self) -> Vec<u8> {
        use base64::Engine;
        let taken = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true}));
        base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// Waits for the page that a script or a form leads to.
    #[track_caller]
    pub fn arrives(&mut self) {
        self.event("Page.loadEventFired");
    }

    #[track_caller]
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut command = json!({"id": self.number, "method": method, "params": parameters});
        if !self.tab.is_empty() {
            command["sessionId"] = json!(self.tab);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        let number = self.number;
        let mut answer = self.wait(method, |message| message["id"] == number);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    #[track_caller]
    fn event(&mut self, name: &str) {
        self.wait(name, |message| message["method"] == name);
    }

    #[track_caller]
    fn wait(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let left = PATIENCE.checked_sub(began.elapsed()).unwrap_or_default();
            match self.messages.recv_timeout(left) {
                Ok(message) if is(&message) => return message,
                Ok(_) => {}
                Err(error) => {
                    let log = std::fs::read_to_string(self._profile.path().join("log")).unwrap_or_default();
                    panic!("the browser says nothing of {what}: {error}\n{log}");
                }
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its helpers itself when it is asked to; killed, it would leave them behind.
        let _ = self.commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
