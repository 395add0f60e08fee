//! The binary; everything is in the library.

fn main() -> std::process::ExitCode {
    peerdeck::cli::main()
}
