//! Writes the fingerprints of generated streams. They are frozen: a change is made on purpose, and told in the changelog.

#[path = "../tests/it/frozen.rs"]
mod frozen;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::write(frozen::FILE, frozen::text()?)?;
    Ok(())
}
