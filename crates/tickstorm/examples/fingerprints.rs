//! Writes the fingerprints of generated streams. They are frozen: a change is made on purpose, and told in the changelog.

#[path = "../tests/it/frozen.rs"]
mod frozen;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, text) in frozen::files()? {
        std::fs::write(std::path::Path::new(frozen::FOLDER).join(name), text)?;
    }
    Ok(())
}
