use std::sync::Arc;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut conf = None;
    let mut sets = Vec::new();
    let mut i = 1;
    while i < args.len() {
        match args[i].as_str() {
            "--conf" => { conf = Some(args[i + 1].clone().into()); i += 1 }
            "--set" => { sets.push(args[i + 1].parse().unwrap()); i += 1 }
            _ => {}
        }
        i += 1;
    }
    let sources = airgate::config::Sources::of_process(conf, sets);
    let again = sources.clone();
    match sources.load() {
        Ok(loaded) => if let Err(e) = airgate::server::run(loaded, Arc::new(move || again.load())) { eprintln!("airgate: {e}"); std::process::exit(1) },
        Err(e) => { eprintln!("{}", e.errors); std::process::exit(1) }
    }
}
