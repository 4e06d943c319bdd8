#[path = "../tests/manifests/mod.rs"]
mod manifests;
use std::io::Read;
fn main() {
    let mut t = String::new();
    std::io::stdin().read_to_string(&mut t).unwrap();
    for text in t.split("\n====\n") {
        let s = std::time::Instant::now();
        let c = manifests::compiled(text);
        let el = s.elapsed();
        println!("{}", manifests::words(&c).lines().take(160).collect::<Vec<_>>().join("\n"));
        if let Some(p) = &c.plan {
            if text.len() < 3000 && std::env::var("SHOW").is_ok() {
                println!("{p:#?}");
            }
            println!(
                "plan {} tags {} calcs {} groups {}  id {} bytes {}",
                el.as_millis(),
                p.tags.len(),
                p.calcs.len(),
                p.groups.len(),
                p.id(),
                p.to_bytes().len()
            );
        } else {
            println!("no plan {:?}", el)
        }
    }
}
